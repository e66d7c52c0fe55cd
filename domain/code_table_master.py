"""Codes about master data: what they say of our customers, and who may write it; the same three lines each."""

from typing import Final

OF_MASTER: Final = """
schedule_invalid medium
    What is said of the days on which something holds contradicts itself.
    Correct the days named in the field.
system_unknown medium
    A message names a system that is not registered, or its broker user may not speak for that system.
    Register the system in the master data under `systems`, with its user; then `tallyline master retry`.
message_type_unknown medium
    A message is of a type that is not read here.
    Send tallyline.master.KIND.v1 with one of the kinds account, product, contract, subscription and mapping.
message_conflicting medium
    A system has said something else under the same id and version before.
    Send the change under a new id with a higher version.
field_not_owned medium
    A system would change a field that another system owns, or that nobody said it may write.
    Change it in the system that owns it, or give the field to this one under `systems`; then `tallyline master retry`.
master_unusable medium
    What a message says cannot be published as it is.
    Correct the field named there, and send it again with a higher version.
master_reference_missing medium
    A message names something that is not there yet.
    Send or load what is named; the message is tried again whenever master data change.
change_not_approved medium
    What a message says needs an approval, and it was refused, withdrawn or not given in time.
    Settle it with whoever decided, and send it again with a higher version.
"""
