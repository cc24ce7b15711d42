"""The contract of job stores: whatever passes `JobStoreContract` works with the engine.

A store's own test file derives a class from it and brings the fixture `new_store`, which answers a function that makes a store
object; all objects that one test makes stand on the same storage, if the store has one outside of the process. What a store can do is
asked of the store (`shared`), never concluded from its name. A store that was written for APScheduler's contract alone takes
`OwnedJobStoreContract`, the parts that apply to it.
"""

from tests.jobstores.contract_arriving import ArrivingRecordContract
from tests.jobstores.contract_claims import ClaimContract
from tests.jobstores.contract_cluster import ClusterContract
from tests.jobstores.contract_edits import EditContract
from tests.jobstores.contract_importing import ImportingContract
from tests.jobstores.contract_leases import LeaseContract
from tests.jobstores.contract_public import PublicContract
from tests.jobstores.contract_records import RecordContract
from tests.jobstores.contract_restoring import RestoringContract
from tests.jobstores.contract_runs import RunContract
from tests.jobstores.contract_shared_runs import SharedRunContract


class OwnedJobStoreContract(
    PublicContract, RecordContract, ClaimContract, RunContract, EditContract, ImportingContract
):
    """What any store answers, one that one process owns included."""


class JobStoreContract(
    OwnedJobStoreContract,
    RestoringContract,
    LeaseContract,
    ClusterContract,
    SharedRunContract,
    ArrivingRecordContract,
):
    """What a store of whole records answers."""
