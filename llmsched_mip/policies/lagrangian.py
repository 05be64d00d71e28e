"""stub"""
from llmsched_mip.policies.fcfs import FirstComeFirstServed
class Lagrangian(FirstComeFirstServed):
    pass
