"""The config's `gates`: their model, the amounts they compare with, and what is wrong with them together."""
