"""Calls to Solana through several RPC nodes, none of which is trusted to be there, to be quick or to be right."""
