"""The pure core: fold, watermark, seal, leaves, Merkle. Bytes and integers in, bytes and integers out."""
