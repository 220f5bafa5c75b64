"""An inference server whose model is a clock.

It speaks the Open Inference Protocol v2 and takes as long as it is told to, so that queues, limits
and failures can be studied without a model or an accelerator. Never computes anything of value,
and never keeps a request's data after its answer.
"""
