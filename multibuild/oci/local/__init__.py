"""Image layouts on this machine: directories and archives, read without believing them."""
