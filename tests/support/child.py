"""A child process that does nothing for as long as ``CHILD_LIVES_SECONDS`` says, and says so on its link first."""

import os
import time

from services.child_process import inherited_link

if __name__ == "__main__":
    link = inherited_link()
    link.sendall(b"here\n")
    time.sleep(float(os.environ["CHILD_LIVES_SECONDS"]))
