"""`unitd` with the congestion control of its call off: `python -m tests.live.uncontrolled call --config FILE`.

The camera's main stream is sent as it comes, and resent as it is asked for: what the controller is measured against.
"""

import sys

from unitd.__main__ import main
from unitd.call import peer
from unitd.call.congestion.uncontrolled import Uncontrolled

if __name__ == "__main__":
    peer.make_controller = Uncontrolled
    sys.exit(main())
