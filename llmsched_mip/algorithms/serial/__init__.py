"""Serial placement: one request after the other, each at the earliest round at which KV and slots leave room."""
