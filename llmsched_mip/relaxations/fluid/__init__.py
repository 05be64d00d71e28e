"""The fluid relaxation: work that is priced by slots, KV tokens and prompt tokens, and shared at will."""
