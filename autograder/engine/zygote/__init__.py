"""The process that imports torch once and forks judges and workers; it holds no secret."""
