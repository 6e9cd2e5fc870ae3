"""A live source on screen, in a browser, or without a picture: its lag cannot grow."""
