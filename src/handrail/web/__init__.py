"""The face over HTTP: the API for programs, the pages for people, the process that serves both."""
