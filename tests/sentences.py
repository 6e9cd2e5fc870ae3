"""What a user sees of a failure: one sentence."""


def is_one_sentence(err, *words):
    """Whether stderr holds one line that a user can read, with these words."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("hprnet-rt: ")
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err
    return True
