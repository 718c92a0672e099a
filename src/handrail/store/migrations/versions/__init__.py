"""One file a revision: `v0001_…`. A released one is never changed."""
