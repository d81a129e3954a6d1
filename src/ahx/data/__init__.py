"""Training data, as rows of tokens. Each source (`samples`, `files`, `programs`, `windows`) is a folder."""
