"""``inv doctor``: what is not as it should be on this machine, in the project, between laptop and CI, on the hosts.

Each part looks and returns findings (`handrail.diagnosis`), never fails over one, and changes nothing; `mending`
carries out the repairs that lose nothing. ``inv fingerprint`` is the other half: two machines that disagree are
compared.
"""
