"""One function per reference page: each gives the page's text, from the code alone."""
