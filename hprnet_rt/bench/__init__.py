"""How long things take, measured so that anyone can check it: `hprnet-rt bench`.

Everything that is compared takes turns in one run, because machines drift; figures of two runs are compared
with the noise of both in sight (`against`). Torch is needed for comparators and random networks only, whose
modules are loaded when they are asked for.
"""
