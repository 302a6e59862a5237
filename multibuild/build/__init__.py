"""One child per platform: watched, retried, isolated."""
