"""The LayerT2V server: a durable queue of jobs behind gRPC, with one worker process per device.

This package never imports torch: only the worker process, ``layert2v_server.worker.main``, loads an
engine.
"""
