//! What every integration test shares: temporary directories, scripted upstreams, a raw DNS client.
