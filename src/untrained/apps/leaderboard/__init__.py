"""Every proxy on every benchmark at hand, on one page."""
