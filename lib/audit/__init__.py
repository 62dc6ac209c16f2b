"""What do the printed tables and the files say by themselves, before anything is trained?"""

from lib.audit import contents, printed_tables
from lib.audit.contents import dataset_audit, protocol_ceilings
from lib.audit.fractions import VALUES
from lib.audit.labels import label_errors, precision_at_k, rank_label_errors
from lib.audit.near_duplicates import SHARE, near_duplicate_recall

__all__ = [
    "protocol_ceilings",
    "SHARE",
    "VALUES",
    "contents",
    "dataset_audit",
    "label_errors",
    "near_duplicate_recall",
    "precision_at_k",
    "printed_tables",
    "rank_label_errors",
]
