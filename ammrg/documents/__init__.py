"""A description as documents that a hospital's systems take: DICOM structured report, picture and PDF, and FHIR."""
