"""The contract of LayerT2V: what the rooms say to each other, and nothing that does anything.

``layert2v.spec``    requests and model descriptions, with one pure validation
``layert2v.stack``   the manifest ``stack.json`` of a layer stack
``layert2v.v1``      the gRPC messages and services (generated, committed)

Everything but ``layert2v.v1`` needs only the standard library, and all of it runs on Python 3.9.
"""

__version__ = "0.1.0"
