"""LayerT2V inside Nuke: standard library only, Python 3.9 and newer.

``graph``       a node graph as data, its script, and the nodes built of it
``session``     the bridge process that is connected to the server, requests, versions, renders
``selfcheck``   what a licensed Nuke can be asked
``project``     what is read of a Nuke project
``preferences`` what the artist or the studio has set
``status_text`` what a node shows about its request
``host``        the only file that imports nuke
``inputs``      what is connected to a node, described and rendered
``edits``       changes of the graph that need no server
``actions``     what a button asks the server for
``controller``  buttons in, requests out, answers onto the nodes, on the main thread
``ui``          menus, panels and the timer
``script``      the command line that writes a stack as a ``.nk`` file
``api``         for pipeline code and the buttons of the node
"""

__version__ = "0.1.0"
