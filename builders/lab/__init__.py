"""A real engine, registry, QEMU and base images on a bare machine; see README.md beside this file."""
