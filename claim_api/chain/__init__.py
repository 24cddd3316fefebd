"""What payer and signer ask of Solana: a port, and its adapter over the pool of RPC nodes."""
