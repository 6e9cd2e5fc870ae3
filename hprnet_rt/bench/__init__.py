"""Benchmarks that anyone can repeat: `hprnet-rt bench`.

Whatever is compared takes turns in one run, because the speed of a machine drifts. Figures of two runs are
compared with regard to the noise of both (`against`). Only comparators and random networks need torch; their
modules are imported on demand.
"""
