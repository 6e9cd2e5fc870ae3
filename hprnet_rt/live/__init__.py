"""A live source in a window, in a browser, or without a picture, with a lag that cannot grow."""
