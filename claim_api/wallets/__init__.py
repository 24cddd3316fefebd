"""Whose wallet it is: Sign-In With Solana, proved to the server and again to the signer."""
