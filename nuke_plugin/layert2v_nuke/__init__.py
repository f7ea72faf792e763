"""LayerT2V inside Nuke: standard library only, Python 3.9 and newer.

``graph``       a node graph as data: the open comp and the inside of the LayerT2V node
``node``        the LayerT2V node as data: its knobs, what they ask for, its life
``versions``    which versions of a stack exist, and which belong together
``colour``      the names of colour spaces in hosts
``tcl``         text that Nuke's language takes as text
``script``      a graph as a ``.nk`` file, and the command line for it
``bridge``      the process that holds the connection to the server
``controller``  what happens when, on the main thread
``host``        the only file that imports nuke
``ui``          menus, panels and the timer
``api``         for pipeline code and the buttons of the node
"""

__version__ = "0.1.0"
