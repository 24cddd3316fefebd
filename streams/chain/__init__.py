"""The chain's side: Solana, reached through a pool of RPC nodes."""
