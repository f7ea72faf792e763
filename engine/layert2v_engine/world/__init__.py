"""The closed picture world that Mini learns: named subjects in named places, true layers.

Words, scenes and captions need nothing but the standard library; drawing needs numpy, torch and,
for sprites, pillow.

    build_bank(folder, selection=V1, width=192, height=192)   # bank: draw once, minutes
    world = World(folder)                                     # clips: in any number of processes
    clip = world.clip(seed, frames=17, foregrounds=2)         # streams, and clip.scene
    prompts = describe(clip.scene, random.Random(seed))       # text.descriptions: of all layers

``text`` holds the words, what a scene shows and what is said of it; ``subjects`` and ``backdrops``
draw; ``bank`` is what is on disk, ``clips`` adds layers up, ``dataset`` keeps clips in memory.
"""
