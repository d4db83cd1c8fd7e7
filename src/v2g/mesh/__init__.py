"""A neighbourhood of transformers that balances itself.

Each controller tells the others of its region its state, whole, every second and on change, signed end to end. From
what it hears it shares the limits of feeder and substation: everybody computes the same allocation of the same facts
(:mod:`v2g.mesh.filling`), says what it is about to take, and takes it once all whom it concerns have said that they
know (:mod:`v2g.mesh.side`). Nobody leads. A member that is not heard counts with the worst it can do.

Pure but for the engine: :mod:`v2g.mesh.node` is a machine without input or output, :mod:`v2g.mesh.engine_zenoh` the
wire.
"""
