"""Menus and simple panels of the fake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Menu:
    """A menu or toolbar: commands by label."""

    def __init__(self, app: Any, name: str) -> None:
        self._app, self._name = app, name
        self.menus: dict[str, Menu] = {}
        self.commands: dict[str, tuple[Callable[[], None], str]] = {}

    def addMenu(self, name: str, icon: str = "") -> Menu:
        self._app.require_main_thread("addMenu")
        return self.menus.setdefault(name, Menu(self._app, name))

    def addCommand(self, name: str, command: Callable[[], None], shortcut: str = "") -> None:
        self._app.require_main_thread("addCommand")
        if not callable(command):
            raise TypeError("commands are functions here, not text to run")
        self.commands[name] = (command, shortcut)

    def addSeparator(self) -> None:
        self._app.require_main_thread("addSeparator")


class Panel:
    """``nuke.Panel``: the test's answers by label, and whether it was accepted."""

    def __init__(self, app: Any, title: str) -> None:
        self._app, self._title = app, title
        self._values: dict[str, Any] = {}

    def addSingleLineInput(self, label: str, value: str) -> None:
        self._values[label] = value

    def addFilenameSearch(self, label: str, value: str) -> None:
        self._values[label] = value

    def addBooleanCheckBox(self, label: str, value: bool) -> None:
        self._values[label] = value

    def show(self) -> bool:
        self._app.require_dialogs("Panel.show")
        answers = self._app.dialog_answers.get(self._title)
        if answers is None:
            return False
        unknown = set(answers) - set(self._values)
        assert not unknown, unknown
        self._values.update(answers)
        return True

    def value(self, label: str) -> Any:
        return self._values[label]
