"""Evidence: what a document's hash is, who stands behind it, until when it holds, and what has replaced it."""
