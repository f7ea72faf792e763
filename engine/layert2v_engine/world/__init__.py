"""The closed picture world that Mini learns: named figures in named places, true layers.

Words, scenes and captions need nothing but the standard library; drawing needs numpy, torch and,
for sprites, pillow.

    build_bank(folder, selection=V1, width=192, height=192)   # clips: draw once, minutes
    world = World(folder)                                     # clips: in any number of processes
    clip = world.clip(seed, frames=17, foregrounds=2)         # streams, and clip.scene
    said = describe(clip.scene, random.Random(seed))          # descriptions: prompts of all layers

`vocabulary` holds the words and `Selection`, `scenes` what a clip shows, `descriptions` what is
said of it, `clips` how layers add up, `bank` what is on disk; everything else draws.
"""
