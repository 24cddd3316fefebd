"""Wire forms: identities, envelopes, policy, seals, proof bundles. Pure data; imports nothing else of this project."""
