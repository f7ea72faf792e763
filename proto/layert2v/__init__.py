"""The contract of LayerT2V: what client, server, engine and host plug-ins share.

``layert2v.spec``            the request for a stack, and model descriptions
``layert2v.stack``           the manifest ``stack.json`` of a layer stack
``layert2v.rerender``        requests that change a stack
``layert2v.image_sequence``  folders of images as frames
``layert2v.address``         server addresses
``layert2v.status_text``     progress in words
``layert2v.labels``          what fields are called in every host
``layert2v.interrupts``      Ctrl-C while a program loads
``layert2v.atomic_write``    small files, whole or not at all
``layert2v.wire``            specs as messages
``layert2v.v1``              the gRPC messages and services (generated, committed)

Everything but ``layert2v.wire`` and ``layert2v.v1`` needs only the standard library, and all of it
runs on Python 3.9.
"""

__version__ = "0.1.0"
