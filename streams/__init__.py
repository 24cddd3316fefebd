"""The flow from a chat line to a sealed epoch: collect, log, core, runners, replay."""
