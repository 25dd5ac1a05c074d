"""For the tests of those who use taskq, and of those who write a plugin for it."""
