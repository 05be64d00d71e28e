"""Files in and out: documents and their schemas, messages, atomic writing, standard streams."""
