"""Nuke runs this when it has an interface: menus, toolbar and callbacks."""

from layert2v_nuke import api

api.install()
