"""Pages: plain documents rendered on the server. They read the same log and call the same commands as the API."""
