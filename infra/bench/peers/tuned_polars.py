"""polars at its best for the simple fold, as far as we can tune it. Usage: tuned_polars.py FILE

Only the four columns needed, streaming engine, channel and kind as codes before anything leaves polars, no group-by of
508k groups and no partition into 1,200 frames (both slower): numpy sorts and sums one packed number an event;
hashing by PyPI blake3 in two processes.
"""

import sys
import time

T0 = time.perf_counter()

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402

from infra.bench.peers.two_hashers import fold, report, roots  # noqa: E402

USER_BITS, WEIGHT_BITS, HOUR_BITS = 28, 6, 20
WEIGHTS = {"message": 1, "sub": 25, "gift": 50, "raid": 10, "bits": 5}
frame = (
    pl.scan_ndjson(
        sys.argv[1],
        schema={
            "ts_ms": pl.Int64,
            "channel": pl.String,
            "user_id": pl.UInt64,
            "login": pl.String,
            "kind": pl.String,
            "text": pl.String,
        },
    )
    .select(
        pl.col("channel").cast(pl.Categorical),
        (
            (pl.col("ts_ms").cast(pl.UInt64) // 3_600_000 * (1 << (USER_BITS + WEIGHT_BITS)))
            + pl.col("user_id") * (1 << WEIGHT_BITS)
            + pl.col("kind").replace_strict(WEIGHTS, return_dtype=pl.UInt64)
        ).alias("event"),
    )
    .collect(engine="streaming")
)
channel = frame["channel"]
known = channel.unique()
names = dict(zip(known.to_physical().to_list(), known.cast(pl.String).to_list(), strict=True))
code = channel.to_physical().to_numpy().astype(np.uint64)
packed = frame["event"].to_numpy() | code << np.uint64(HOUR_BITS + USER_BITS + WEIGHT_BITS)
keys, leaves = fold(packed, USER_BITS, WEIGHT_BITS)
window, sizes = np.unique(keys >> np.uint64(USER_BITS), return_counts=True)
windows = [(names[w >> HOUR_BITS], w & ((1 << HOUR_BITS) - 1)) for w in window.tolist()]
report("tuned_polars", windows, roots(leaves, sizes.tolist()), len(leaves), T0)
