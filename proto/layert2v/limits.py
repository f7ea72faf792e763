"""The limits of requests and manifests, in one place: how long, how many, how large.

Everything that somebody else wrote is measured against these before anything is built from it.
They are far above what a shot needs and far below what a machine can bear. The limits of a model
are in its ``ModelInfo``.
"""

from __future__ import annotations

MAX_PROMPT_CHARS = 2000
MAX_NAME_CHARS = 200  # of a model, a color space, a layer, a key
MAX_TEXT_CHARS = 10_000  # of any other text in a document
MAX_SEED = 2**63 - 1  # fits a signed 64-bit column and a protobuf int64
MAX_FRAME = 999_999
MAX_FPS = 240.0
MAX_SIDE = 65_536  # pixels

# A path in a stack is put below folders of several lengths; the system takes 4096 bytes in all, and
# 255 for a name, to which partial files add some.
MAX_PATH_CHARS = 400
MAX_PATH_SEGMENT_CHARS = 200

MAX_FRAMES = 100_000  # of one sequence
MAX_LAYERS = 64
MAX_STATES = 1000

MAX_MANIFEST_BYTES = 8 << 20  # of one state: 150 to 200 bytes for each file
MAX_MANIFESTS_BYTES = 32 << 20  # of all states that a request brings
MAX_JSON_VALUES = 1_000_000  # in one document: a value takes some 60 bytes of memory
MAX_JSON_DEPTH = 64

MAX_INPUTS = 16  # folders that a request brings
MAX_INPUT_FILES = 20_000  # in all of them

MAX_SUBJECTS = 16  # of one decomposition: each takes a foreground and a shadow
MAX_HINTS = 2000  # boxes and points of one request
MAX_HANDLES = 1000  # frames
MAX_FOOTAGE_PIXELS = 1 << 36  # of all frames that come along: 33,000 of 1920 x 1080
