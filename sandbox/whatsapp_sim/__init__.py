"""A stand-in of Meta's WhatsApp Business Cloud API (``POST /{version}/{phone number id}/messages``), on loopback.

It refuses what the real one refuses, with the real one's codes and shapes, and keeps what it accepted. To use it::

    with WhatsAppSim() as sim:            # or sim.start() … sim.stop()
        sim.base_url                      # WHATSAPP_API_BASE_URL of the bridge
        sim.environment("+4915112345678") # all WHATSAPP_* settings that fit this stand-in
        sim.accepted                      # list of Accepted: at_seconds (time.time()), to, text, parameters
        sim.answers                       # list of Answer: at_seconds, to, status, code (None when accepted)
        sim.away(); sim.back()            # every connection is hung up on
        sim.fail_next(131042, times=2)    # the next answers carry this code; to=… for one recipient only
        sim.expire_token()                # 190 from now on
        sim.undeliverable.add("+49…")     # 131026
        sim.answer_after_seconds = 12.0   # slow
        sim.hold(); sim.release()         # messages are taken, and nobody is told until the release
        sim.wait_until_quiet(20.0)        # nothing that has reached it is still to be taken, also of who is gone
        sim.open_window("+49…")           # free text is taken for 24 h

``python -m sandbox.whatsapp_sim --port 8090`` serves it for a person or another container.
"""

from sandbox.whatsapp_sim.server import Accepted, Answer, WhatsAppSim

__all__ = ["Accepted", "Answer", "WhatsAppSim"]
