"""Machines that docker reaches through the ssh command: whether they answer, and what ssh says when they do not."""
