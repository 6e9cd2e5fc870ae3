"""Work on files: annotate, render and predict, planned before it begins and resumable at any time."""
