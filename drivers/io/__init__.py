"""The only modules of the drivers that open a port, a socket, /proc or /sys."""
